//! The interface that every vector store implements, and the one that there is.
//!
//! Everything above this trait (indexing, search, migration, calibration, the server) asks nothing else of a store. It reads
//! only: what writes is an [`IndexWriter`](crate::IndexWriter), which holds the index's lock. Ids are 128 bits (a UUID's
//! size), payloads are flat maps of numbers and texts, and filters are trees of conditions on them.

mod local;

use serde::{Deserialize, Serialize};

pub use local::{GraphSettings, uploads_root};
pub(crate) use local::{LocalStore, StoreWriter, new_identity};

use crate::cancel::Cancel;
use crate::error::Result;
use crate::filter::Filter;
use crate::payload::{Payload, Value};
use crate::point::{Point, PointId};

/// Reads and searches points.
///
/// Methods take `&self`: a store is shared by the threads of a server. Each call sees the store as of one moment: whole writes
/// or nothing of them, also those of other processes.
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

    /// A number that is greater after every committed write of any process.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn revision(&self) -> Result<u64>;

    /// The points with these ids, `None` where there is none.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn get(&self, ids: &[PointId]) -> Result<Vec<Option<Point>>>;

    /// Up to `limit` points that pass `filter`, from `start` on, in an order of the store's own that does not change while
    /// nothing is written; and where to go on.
    ///
    /// # Errors
    /// [`IndexError::Cancelled`](crate::IndexError::Cancelled),
    /// [`IndexError::FilterTooCostly`](crate::IndexError::FilterTooCostly), or a store that cannot be read.
    fn scroll(
        &self,
        start: Cursor,
        limit: usize,
        filter: Option<&Filter>,
        cancel: &Cancel,
    ) -> Result<(Vec<Point>, Option<Cursor>)>;

    /// The nearest points of each query vector, best first.
    ///
    /// # Errors
    /// A vector of another width or not of length one; as [`scroll`](Self::scroll).
    fn search(&self, query: &VectorQuery) -> Result<Vec<Vec<Hit>>>;

    /// Up to `limit` values of a field with their numbers of points, the most frequent first.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn facets(&self, field: &str, limit: usize) -> Result<Vec<(Value, u64)>>;

    /// Facts about the store.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn stats(&self) -> Result<StoreStats>;

    /// Reads every file and returns what is damaged, a line for each damage.
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
    /// Query vectors of length one, `[m, dim]` row-major; each gets its own hits.
    pub vectors: Vec<f32>,
    /// How many hits each gets.
    pub k: usize,
    /// What a hit must satisfy.
    pub filter: Option<Filter>,
    /// Ids that are left out.
    pub exclude: Vec<PointId>,
    /// How to search.
    pub method: SearchMethod,
    /// Whether hits carry their vectors.
    pub with_vectors: bool,
    /// Stops the search.
    pub cancel: Cancel,
}

impl VectorQuery {
    /// The `k` nearest of one vector or several, nothing left out.
    pub fn new(vectors: Vec<f32>, k: usize) -> Self {
        Self {
            vectors,
            k,
            filter: None,
            exclude: Vec::new(),
            method: SearchMethod::Auto,
            with_vectors: false,
            cancel: Cancel::new(),
        }
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
    /// By the graph, where there is one.
    Graph {
        /// Candidates kept while searching; 0: as many as the graph's recall was measured with.
        ef: usize,
    },
}

/// One result.
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
    /// Rows taken by removed or replaced points.
    pub tombstones: usize,
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
    /// Edges of a node (M of HNSW).
    pub connectivity: usize,
    /// Candidates while building (efConstruction).
    #[serde(alias = "expansion_add")]
    pub ef_construction: usize,
    /// Candidates while searching (ef) that gave the recall below.
    #[serde(alias = "expansion_search")]
    pub ef: usize,
    /// Share of the exact ten nearest that it finds, for rows that it did not hold yet and a share of those that it did.
    pub recall_at_10: f64,
    /// How many queries that was measured with.
    pub recall_queries: usize,
    /// Rows among those it covers that were removed or replaced when that was measured.
    #[serde(default)]
    pub tombstones: usize,
}
