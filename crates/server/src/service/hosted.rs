//! The collections of a server: those it was started with, and those that clients have made since.
//!
//! A collection made here is a separate index in the server's folder, over a model that is hosted already: it costs no
//! memory for the model, and its images share batches with all others of the same backbone. It begins to exist when its
//! manifest is in place, and ends with one rename; a server that is killed in between finds one or the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kinsight_index::{Index, ModelSource};
use kinsight_model::ComputeChoice;

use super::ServiceError;
use super::collection::{Collection, CollectionSpec, is_plain_name};
use crate::error::ServerError;

/// What a removed collection's folder is called until its files are gone.
const REMOVED: &str = ".removed-";

/// All collections by name.
#[derive(Debug)]
pub(crate) struct Hosted {
    open: RwLock<BTreeMap<String, Arc<Collection>>>,
    /// Where clients make collections; without it they make none.
    folder: Option<PathBuf>,
    most: usize,
    /// One is made or removed at a time.
    changing: Mutex<()>,
}

impl Hosted {
    /// Hosts `collections`; more can be made in `folder`, until there are `most`.
    pub fn new(collections: Vec<Collection>, folder: Option<PathBuf>, most: usize) -> Self {
        let named = collections.into_iter().map(|collection| (collection.name().to_string(), Arc::new(collection)));
        Self { open: RwLock::new(named.collect()), folder, most, changing: Mutex::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Collection>>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<Collection>>> {
        self.open.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Collection>> {
        self.read().values().cloned().collect()
    }

    /// The collection called `name`.
    pub fn get(&self, name: &str) -> Result<Arc<Collection>, ServiceError> {
        let open = self.read();
        open.get(name).cloned().ok_or_else(|| ServiceError::NoCollection {
            name: name.chars().take(64).collect(),
            there_are: there_are(&open),
        })
    }

    /// Puts `new` in the place of `old`, unless that is gone.
    pub fn replace(&self, old: &Arc<Collection>, new: Collection) {
        if let Some(place) = self.write().get_mut(old.name()).filter(|place| Arc::ptr_eq(place, old)) {
            *place = Arc::new(new);
        }
    }

    /// Whether clients may remove it.
    pub fn was_made_here(&self, collection: &Collection) -> bool {
        self.folder.is_some() && collection.index().path().parent() == self.folder.as_deref()
    }

    /// Makes an empty collection with the model of the one called `like`, which may be left out where there is only one model.
    pub fn make(&self, name: &str, like: Option<&str>) -> Result<Arc<Collection>, ServiceError> {
        let folder = self.folder.as_ref().ok_or(ServiceError::CollectionsFixed)?;
        if !is_plain_name(name) {
            return Err(ServiceError::field("the name", name, "1 to 64 of the characters a-z, 0-9, - and _"));
        }
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let like = match like {
            Some(like) => self.get(like)?,
            None => self.only_model()?,
        };
        if self.read().contains_key(name) {
            return Err(ServiceError::Exists { name: name.to_owned() });
        }
        if self.len() >= self.most {
            return Err(ServiceError::TooManyCollections { hosted: self.len() });
        }
        let manifest = like.index().manifest();
        let (fingerprint, source) = (manifest.fingerprint.clone(), like.model_source());
        let index = Index::create(&folder.join(name), fingerprint, source, manifest.graph.clone())?;
        let made = Arc::new(like.empty(name, index));
        self.write().insert(name.to_string(), made.clone());
        Ok(made)
    }

    /// Takes a collection that was made here out, with its images.
    pub fn remove(&self, name: &str) -> Result<(), ServiceError> {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let collection = self.get(name)?;
        let (Some(folder), true) = (&self.folder, self.was_made_here(&collection)) else {
            return Err(ServiceError::NotMadeHere);
        };
        // Waits for a write in progress.
        let _writer = collection.index().writer()?;
        let aside = folder.join(format!("{REMOVED}{name}-{}", std::process::id()));
        // Of an earlier collection of this name, which could not be deleted then.
        let _ = kinsight_files::remove_dir_all(&aside);
        kinsight_files::rename(collection.index().path(), &aside)
            .map_err(|error| ServiceError::internal("the collection could not be removed", error))?;
        self.write().remove(name);
        // Requests in progress keep what they have open; what cannot be deleted now goes at the next start.
        let _ = kinsight_files::remove_dir_all(&aside);
        Ok(())
    }

    fn only_model(&self) -> Result<Arc<Collection>, ServiceError> {
        let open = self.read();
        let mut all = open.values();
        let first = all.next().cloned();
        match first {
            Some(first) if all.all(|other| Arc::ptr_eq(other.model(), first.model())) => Ok(first),
            _ => Err(ServiceError::NoModel { there_are: there_are(&open) }),
        }
    }
}

fn there_are(open: &BTreeMap<String, Arc<Collection>>) -> String {
    format!("there are: {}", open.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
}

/// The collections that were made in `folder` before, which is made if it is missing.
pub(crate) fn made_before(folder: &Path, compute: ComputeChoice) -> Result<Vec<CollectionSpec>, ServerError> {
    let failed = |source| ServerError::Folder { path: folder.to_owned(), source };
    kinsight_files::create_dir_all(folder).map_err(|error| failed(error.source))?;
    let mut specs = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with(REMOVED) {
            let _ = kinsight_files::remove_dir_all(&entry.path());
        } else if is_plain_name(&name) && Index::exists(&entry.path()) {
            specs.push(CollectionSpec { name, index: entry.path(), run: None, backbone: None, compute });
        }
    }
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(specs)
}

impl Collection {
    /// Where its model is: what the server was told, else what the index says.
    fn model_source(&self) -> ModelSource {
        let named = &self.index().manifest().model;
        let whole = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        ModelSource {
            run: self.spec().run.as_ref().map(whole).or_else(|| named.run.clone()),
            backbone: self.spec().backbone.clone().unwrap_or_else(|| named.backbone.clone()),
        }
    }

    /// An empty collection with the same model.
    fn empty(&self, name: &str, index: Index) -> Self {
        let spec = CollectionSpec {
            name: name.to_string(),
            index: index.path().to_owned(),
            run: None,
            backbone: None,
            compute: self.spec().compute,
        };
        Self::new(spec, index, self.model().clone(), self.model_name().to_owned())
    }
}
