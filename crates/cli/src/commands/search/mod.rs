//! `kinsight search`: the indexed images nearest to some query images.

mod page;
mod terminal;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use kinsight_data::{CropBox, DecodeLimits, decode::read_bounded, decode_bytes};
use kinsight_index::payload::fields;
use kinsight_index::rerank::{AlphaQueryExpansion, KReciprocal};
use kinsight_index::{
    Calibration, Cancel, Cursor, Filter, Hit, ImageQuery, Index, PointId, Rerank, SearchMethod, VectorQuery, Verdict,
    combine_queries, content_hash, file_of,
};
use kinsight_model::EmbeddingModel;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::context::IndexModelArgs;

const EXAMPLES: &str = "\
Examples:
  The ten images most similar to this one:
    kinsight search shoe.jpg --index photos.index

  Like the first two, unlike the third, red and large, as a page with images:
    kinsight search a.jpg b.jpg --not c.jpg --where 'color = red and width > 500' --index photos.index --open

  By part of an image, re-ranked:
    kinsight search street.jpg --crop 120,80,200,240 --rerank k-reciprocal --index photos.index

  Many separate queries for a script, with one line of JSON each:
    kinsight search queries/*.jpg --each --json --not-itself -k 1 --index photos.index

Filters: field = value, !=, <, <=, >, >=, ~ (pattern with * and ?), in (a, b), is missing; and, or, not, parentheses.
Fields: label, path, width, height, size_bytes, content_hash, pixel_hash, and the columns of the CSV that was indexed.";

/// Arguments of `search`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SearchArgs {
    /// Query images; the embeddings of several are averaged
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// The index
    #[arg(long)]
    index: PathBuf,
    /// Counter-example: hits should not be like it; may be repeated
    #[arg(long = "not", value_name = "IMAGE")]
    unwanted: Vec<PathBuf>,
    /// Use only this part of the query image, in pixels: left,top,width,height
    #[arg(long, value_name = "X,Y,W,H", value_parser = parse_crop)]
    crop: Option<CropBox>,
    /// Number of hits
    #[arg(short, long, default_value_t = 10, value_name = "K")]
    k: usize,
    /// Only images that match this filter, such as 'label = shoe and width > 500'
    #[arg(long = "where", value_name = "FILTER")]
    condition: Option<String>,
    /// Only hits with at least this score: a number, or duplicate, same or similar as `kinsight calibrate` measured them
    #[arg(long)]
    threshold: Option<String>,
    /// Re-rank the hits
    #[arg(long, value_enum, default_value = "none")]
    rerank: RerankArg,
    /// Compare with every image even if there is a graph
    #[arg(long)]
    exact: bool,
    /// Search for each image separately instead of for their mean
    #[arg(long, conflicts_with_all = ["unwanted", "crop", "html", "open"])]
    each: bool,
    /// Omit indexed images that are identical to a query image
    #[arg(long)]
    not_itself: bool,
    /// Print the results as JSON; with --each one line per query
    #[arg(long)]
    json: bool,
    /// Write the hits with their images to this HTML file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the results to an HTML file (--html, or kinsight-search.html) and open it
    #[arg(long)]
    open: bool,
    /// Do not show images in the terminal
    #[arg(long)]
    no_pictures: bool,
    #[command(flatten)]
    model: IndexModelArgs,
}

/// `--rerank`
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RerankArg {
    /// Keep the order of the search
    None,
    /// Search again with the mean of the query and its best results
    AlphaQe,
    /// Order by shared neighbors
    KReciprocal,
}

/// Queries embedded in one batch.
const BATCH: usize = 16;

/// Searches and shows.
pub fn run(arguments: SearchArgs) -> Result<()> {
    let SearchArgs {
        images,
        index,
        unwanted,
        crop,
        k,
        condition,
        threshold: least,
        rerank,
        exact,
        each,
        not_itself,
        json,
        html,
        open,
        no_pictures,
        model,
    } = arguments;
    let (model, context) = model.resolve()?;
    let filter: Option<Filter> = condition.as_deref().map(str::parse).transpose()?;
    if k == 0 {
        bail!("-k is 0, expected at least 1");
    }
    if crop.is_some() && images.len() > 1 {
        bail!("--crop needs a single query image, found {}", images.len());
    }
    let index = Index::open(&index)?;
    let threshold = least.as_deref().map(|text| threshold(text, &index)).transpose()?;
    let model = context.model_of(&index, model)?;
    let search = Search { index: &index, filter, threshold, k, rerank, exact, not_itself, json };
    if each {
        return search.each(&images, &model);
    }
    let queries = read_queries(&images, crop)?;
    let unwanted = read_queries(&unwanted, None)?;
    let embed =
        |queries: &[Query]| ImageQuery::embed_all(&queries.iter().map(|q| q.image.clone()).collect::<Vec<_>>(), &model);
    let vector = combine_queries(&embed(&queries)?, &embed(&unwanted)?)?;
    let hits = search.hits(vector, &queries)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&search.as_json(&queries, &hits))?);
    } else {
        if !no_pictures {
            terminal::show(&hits.iter().map(|hit| file_of(&hit.payload)).collect::<Vec<_>>())?;
        }
        search.print(&hits);
    }
    if let Some(path) = html.or_else(|| open.then(|| PathBuf::from("kinsight-search.html"))) {
        let paths: Vec<&Path> = queries.iter().map(|query| query.path.as_path()).collect();
        let page = page::page(&paths, condition.as_deref(), &hits, index.manifest().calibration.as_ref());
        kinsight_files::write(&path, page.to_html().as_bytes())?;
        eprintln!("wrote {}", path.display());
        if open {
            page::open(&path);
        }
    }
    Ok(())
}

/// How one query is searched for and shown.
struct Search<'a> {
    index: &'a Index,
    filter: Option<Filter>,
    threshold: Option<f64>,
    k: usize,
    rerank: RerankArg,
    exact: bool,
    not_itself: bool,
    json: bool,
}

/// A query image as read.
struct Query {
    path: PathBuf,
    image: ImageQuery,
    content_hash: String,
}

impl Search<'_> {
    /// The answers to one query vector.
    fn hits(&self, vector: Vec<f32>, queries: &[Query]) -> Result<Vec<Hit>> {
        let exclude = if self.not_itself { self.same_content(queries)? } else { Vec::new() };
        let method = if self.exact { SearchMethod::Exact } else { SearchMethod::Auto };
        let query = VectorQuery { filter: self.filter.clone(), exclude, method, ..VectorQuery::new(vector, self.k) };
        let rerank = match self.rerank {
            RerankArg::None => Rerank::None,
            RerankArg::AlphaQe => Rerank::AlphaQe(AlphaQueryExpansion::default()),
            RerankArg::KReciprocal => Rerank::KReciprocal(KReciprocal::default()),
        };
        let mut hits = rerank.search(self.index.store(), &query)?;
        if let Some(threshold) = self.threshold {
            hits.retain(|hit| f64::from(hit.score) >= threshold);
        }
        Ok(hits)
    }

    /// Ids of the indexed images with the content of a query.
    fn same_content(&self, queries: &[Query]) -> Result<Vec<PointId>> {
        let mut ids = Vec::new();
        for query in queries {
            let filter = Filter::equals(fields::CONTENT_HASH, &query.content_hash);
            let mut cursor = Some(Cursor::default());
            while let Some(start) = cursor {
                let (points, next) = self.index.store().scroll(start, 256, Some(&filter), &Cancel::new())?;
                ids.extend(points.iter().map(|point| point.id));
                cursor = next;
            }
        }
        Ok(ids)
    }

    fn each(&self, images: &[PathBuf], model: &EmbeddingModel) -> Result<()> {
        for paths in images.chunks(BATCH) {
            let queries = read_queries(paths, None)?;
            let images: Vec<ImageQuery> = queries.iter().map(|query| query.image.clone()).collect();
            for (query, vector) in queries.iter().zip(ImageQuery::embed_all(&images, model)?) {
                let hits = self.hits(vector, std::slice::from_ref(query))?;
                if self.json {
                    println!("{}", self.as_json(std::slice::from_ref(query), &hits));
                } else {
                    println!("{}", query.path.display());
                    self.print(&hits);
                }
            }
        }
        Ok(())
    }

    fn print(&self, hits: &[Hit]) {
        let calibration = self.index.manifest().calibration.as_ref();
        if let Some(message) = nothing(hits, calibration) {
            println!("{message}");
        }
        for (rank, hit) in hits.iter().enumerate() {
            let field = |name| hit.payload.get(name).map(|value| value.text()).unwrap_or_default();
            let verdict = calibration.map_or("", |calibration| calibration.verdict(f64::from(hit.score)).as_str());
            let (path, label) = (field(fields::PATH), field(fields::LABEL));
            println!("{:>4}  {:.4}  {verdict:<9}  {label:<20}  {path}", rank + 1, hit.score);
        }
    }

    fn as_json(&self, queries: &[Query], hits: &[Hit]) -> Value {
        let calibration = self.index.manifest().calibration.as_ref();
        let hits: Vec<Value> = hits
            .iter()
            .map(|hit| {
                json!({
                    "id": hit.id,
                    "score": hit.score,
                    "verdict": calibration.map(|calibration| calibration.verdict(f64::from(hit.score))),
                    "file": file_of(&hit.payload).to_string_lossy(),
                    "fields": hit.payload,
                })
            })
            .collect();
        json!({ "queries": queries.iter().map(|query| query.path.to_string_lossy()).collect::<Vec<_>>(), "hits": hits })
    }
}

/// What to say where no answer is worth looking at.
fn nothing(hits: &[Hit], calibration: Option<&Calibration>) -> Option<&'static str> {
    if hits.is_empty() {
        return Some("nothing found");
    }
    let best = hits.iter().map(|hit| f64::from(hit.score)).fold(f64::NEG_INFINITY, f64::max);
    let unknown = calibration.is_some_and(|calibration| calibration.verdict(best) == Verdict::Unknown);
    unknown.then_some("nothing similar found; the nearest:")
}

fn read_queries(paths: &[PathBuf], crop: Option<CropBox>) -> Result<Vec<Query>> {
    let read = |path: &PathBuf| -> Result<Query> {
        let limits = DecodeLimits::default();
        let bytes = read_bounded(path, limits).with_context(|| format!("cannot read {}", path.display()))?;
        let picture = decode_bytes(&bytes, limits).with_context(|| format!("cannot decode {}", path.display()))?;
        let content_hash = content_hash(&bytes);
        Ok(Query { path: path.clone(), image: ImageQuery { picture, crop }, content_hash })
    };
    paths.par_iter().map(read).collect()
}

fn threshold(text: &str, index: &Index) -> Result<f64> {
    let calibration = || {
        index.manifest().calibration.as_ref().with_context(|| {
            format!("{} has no thresholds yet; measure them with `kinsight calibrate`", index.path().display())
        })
    };
    Ok(match text {
        "duplicate" => calibration()?.duplicate,
        "same" => calibration()?.same,
        "similar" => calibration()?.similar,
        number => match number.parse::<f64>() {
            Ok(number) if (-1.0..=1.0).contains(&number) => number,
            _ => bail!("--threshold is {text:?}, expected a number from -1 to 1, duplicate, same or similar"),
        },
    })
}

fn parse_crop(text: &str) -> Result<CropBox, String> {
    let numbers: Result<Vec<u32>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    match numbers.as_deref() {
        Ok(&[left, top, width, height]) if width > 0 && height > 0 => Ok(CropBox { top, left, height, width }),
        _ => Err("expected left,top,width,height in pixels, such as 120,80,200,240".to_owned()),
    }
}
