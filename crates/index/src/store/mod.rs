//! The one seam between Kinsight and whatever keeps its vectors.
//!
//! Everything above this trait (indexing, search, migration, calibration, the server) asks nothing else of a store, so that
//! another one can stand here: a Qdrant cluster has each of these operations. Ids are 128 bits (a UUID's size), payloads are
//! flat maps of numbers and texts, and filters are trees of conditions on them, because that is what such stores take.

mod local;

use serde::{Deserialize, Serialize};

pub use local::{GraphSettings, LocalStore};

use crate::error::Result;
use crate::filter::Filter;
use crate::payload::Payload;
use crate::point::{Point, PointId};

/// Keeps points durably and searches them.
///
/// Methods take `&self`: a store is shared by the threads of a server. Reads see whole writes or nothing of them.
pub trait VectorStore: Send + Sync {
    /// Width of a vector.
    fn dim(&self) -> usize;

    /// Number of points.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn len(&self) -> Result<usize>;

    /// Whether there is no point.
    ///
    /// # Errors
    /// As [`len`](Self::len).
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Puts points in, in place of those with the same ids. All of them are on the disk when it returns, and none if it
    /// fails.
    ///
    /// # Errors
    /// A vector of another width or not of length one, an id given twice, or a failure to write.
    fn upsert(&self, points: &[Point]) -> Result<()>;

    /// Takes points out; returns how many there were.
    ///
    /// # Errors
    /// A failure to write; then none is taken out.
    fn remove(&self, ids: &[PointId]) -> Result<usize>;

    /// The points with these ids, `None` where there is none.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn get(&self, ids: &[PointId]) -> Result<Vec<Option<Point>>>;

    /// Up to `limit` points that pass `filter`, from `start` on, in an order of the store's own that does not change while
    /// nothing is written; and where to go on.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn scroll(&self, start: Cursor, limit: usize, filter: Option<&Filter>) -> Result<(Vec<Point>, Option<Cursor>)>;

    /// The nearest points of each query vector, best first.
    ///
    /// # Errors
    /// A vector of another width or not of length one, or a store that cannot be read.
    fn search(&self, query: &VectorQuery) -> Result<Vec<Vec<Hit>>>;

    /// Prepares for fast search what has been written since it was last called, where that is worth it.
    ///
    /// # Errors
    /// A failure to write.
    fn optimize(&self, progress: &dyn Fn(usize, usize)) -> Result<()>;

    /// Facts about the store.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn stats(&self) -> Result<StoreStats>;

    /// Reads everything and returns what is damaged, a line each.
    ///
    /// # Errors
    /// If the store cannot even be read.
    fn check(&self, progress: &dyn Fn(usize, usize)) -> Result<Vec<String>>;
}

/// A place in a [`scroll`](VectorStore::scroll); the default is the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor(pub u64);

/// What to search for.
#[derive(Clone, Debug)]
pub struct VectorQuery {
    /// Query vectors of length one, `[m, dim]` row-major; each gets its own answers.
    pub vectors: Vec<f32>,
    /// How many answers each gets.
    pub k: usize,
    /// What an answer must satisfy.
    pub filter: Option<Filter>,
    /// Ids that are no answers.
    pub exclude: Vec<PointId>,
    /// How to search.
    pub method: SearchMethod,
    /// Whether answers carry their vectors.
    pub with_vectors: bool,
}

impl VectorQuery {
    /// The `k` nearest of one vector or several, nothing left out.
    pub fn new(vectors: Vec<f32>, k: usize) -> Self {
        Self { vectors, k, filter: None, exclude: Vec::new(), method: SearchMethod::Auto, with_vectors: false }
    }
}

/// Exact or approximate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SearchMethod {
    /// Exact while that is fast, else by the graph.
    #[default]
    Auto,
    /// Every vector is compared.
    Exact,
    /// By the graph, where there is one; `expansion` is the ef of HNSW's search (0: the graph's own).
    Graph {
        /// Candidates kept while walking.
        expansion: usize,
    },
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Which point.
    pub id: PointId,
    /// Cosine similarity with the query, in [-1, 1] to rounding.
    pub score: f32,
    /// What is known of it.
    pub payload: Payload,
    /// Its vector, if it was asked for.
    pub vector: Option<Vec<f32>>,
}

/// Facts about a store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoreStats {
    /// Points.
    pub points: usize,
    /// Places taken by removed or replaced points.
    pub dead_rows: usize,
    /// Bytes on the disk.
    pub bytes: u64,
    /// The graph, if there is one.
    pub graph: Option<GraphStats>,
}

/// Facts about the graph of the approximate search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphStats {
    /// Rows it covers; later ones are searched exactly.
    pub rows: usize,
    /// Edges a node (M of HNSW).
    pub connectivity: usize,
    /// Candidates while building (efConstruction).
    pub expansion_add: usize,
    /// Candidates while searching (ef) that gave the recall below.
    pub expansion_search: usize,
    /// Share of the exact ten nearest that it finds, for rows that it did not hold yet.
    pub recall_at_10: f64,
    /// How many queries that was measured with.
    pub recall_queries: usize,
}
