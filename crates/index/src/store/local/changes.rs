//! Changes of the catalog: the one connection that writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OpenFlags, OptionalExtension, ToSql, Transaction, params};

use super::catalog::{self, APPLICATION_ID, SCHEMA_VERSION};
use super::roots::{Root, Roots};
use crate::error::{IndexError, Result};
use crate::payload::{Payload, Value, fields};
use crate::point::{Point, PointId};

const SCHEMA: &str = "
CREATE TABLE points(
    slot INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, payload TEXT NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE dead(slot INTEGER PRIMARY KEY);
CREATE TABLE field_names(name_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE field_values(name_id INTEGER NOT NULL, value NOT NULL, slot INTEGER NOT NULL,
    PRIMARY KEY(name_id, value, slot)) WITHOUT ROWID;
CREATE TABLE state(one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL, rows INTEGER NOT NULL);
";

const SCHEMA_2: &str = "
CREATE TABLE identity(one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL);
CREATE TABLE roots(number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, folder TEXT UNIQUE);
";

/// The connection that writes; the index's lock keeps out any other.
pub(super) struct CatalogWriter {
    path: PathBuf,
    index: PathBuf,
    connection: Connection,
}

impl CatalogWriter {
    /// Makes an empty catalog.
    pub fn create(path: &Path, identity: &str, revision: u64) -> Result<()> {
        let failed = IndexError::catalog("create", path);
        let connection = Connection::open(path).map_err(failed)?;
        configure(&connection).map_err(failed)?;
        let setup = format!(
            "BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; {SCHEMA} {SCHEMA_2}
             INSERT INTO state VALUES (1, {revision}, 0); INSERT INTO identity VALUES (1, '{identity}'); COMMIT;"
        );
        connection.execute_batch(&setup).map_err(failed)?;
        committed(path)
    }

    /// Opens the catalog at `path`, of the index at `index`.
    pub fn open(path: &Path, index: &Path) -> Result<Self> {
        let failed = IndexError::catalog("open", path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        configure(&connection).map_err(failed)?;
        catalog::require_ours(&connection, path)?;
        Ok(Self { path: path.to_owned(), index: index.to_owned(), connection })
    }

    /// Brings a catalog of format 1 to this format; returns the identity that it has.
    pub fn upgrade(&mut self) -> Result<String> {
        let version = catalog::require_ours(&self.connection, &self.path)?;
        if version == SCHEMA_VERSION {
            return catalog::identity(&self.connection).map_err(IndexError::catalog("read", &self.path));
        }
        let identity = new_identity()?;
        let uploads = super::roots::uploads_root(&self.index);
        self.write(|transaction| {
            transaction.execute_batch(SCHEMA_2)?;
            transaction.execute("INSERT INTO identity VALUES (1, ?1)", [&identity])?;
            number_roots(transaction, &uploads)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            transaction.execute("UPDATE state SET revision = revision + 1", [])?;
            Ok(())
        })?;
        Ok(identity)
    }

    /// Rows of the file of vectors that are in use or have a tombstone.
    pub fn rows(&self) -> Result<usize> {
        let rows = self.connection.query_row("SELECT rows FROM state", [], |row| row.get::<_, i64>(0));
        Ok(rows.map_err(IndexError::catalog("read", &self.path))? as usize)
    }

    /// Makes the rows from `first` on exist as `points`, in place of points with the same ids.
    pub fn insert(&mut self, first: usize, points: &[Point], checksums: impl Iterator<Item = i64>) -> Result<()> {
        if first + points.len() > u32::MAX as usize {
            return Err(IndexError::setting("the number of rows", first + points.len(), "less than 2^32"));
        }
        let (index, path) = (self.index.clone(), self.path.clone());
        let uploads = super::roots::uploads_root(&index).to_string_lossy().into_owned();
        self.write_checked(|transaction| {
            let failed = IndexError::catalog("write", &path);
            let mut roots = catalog::roots(transaction, &uploads).map_err(failed)?;
            let mut names = BTreeMap::new();
            for ((point, checksum), row) in points.iter().zip(checksums).zip(first as i64..) {
                let mut payload = point.payload.clone();
                if let Some(root) = payload.get_mut(fields::ROOT) {
                    *root = numbered(transaction, &mut roots, &root.text(), &index).map_err(failed)?;
                }
                let json =
                    serde_json::to_string(&payload).map_err(|error| IndexError::corrupt(&path, error.to_string()))?;
                insert_point(transaction, row, point.id, &payload, &json, checksum, &mut names).map_err(failed)?;
            }
            let rows = (first + points.len()) as i64;
            let counted = transaction.execute("UPDATE state SET rows = ?1, revision = revision + 1", [rows]);
            counted.map(|_| ()).map_err(failed)
        })
    }

    /// Takes points out; returns how many there were.
    pub fn remove(&mut self, ids: &[PointId]) -> Result<usize> {
        self.write(|transaction| {
            let mut removed = 0;
            for &id in ids {
                removed += usize::from(bury(transaction, id)?);
            }
            transaction.execute("UPDATE state SET revision = revision + 1", [])?;
            Ok(removed)
        })
    }

    /// Counts a write that changed nothing in here.
    pub fn bump_revision(&mut self) -> Result<()> {
        self.remove(&[]).map(|_| ())
    }

    /// Points roots at other folders.
    pub fn relocate(&mut self, moves: &[(Root, String)]) -> Result<()> {
        self.write(|transaction| {
            // Freed first: one may go where another was.
            for (root, _) in moves {
                transaction
                    .execute("UPDATE roots SET folder = 'moving ' || number WHERE number = ?1", [root.number])?;
            }
            for (root, folder) in moves {
                transaction.execute("UPDATE roots SET folder = ?2 WHERE number = ?1", params![root.number, folder])?;
            }
            transaction.execute("UPDATE state SET revision = revision + 1", [])?;
            Ok(())
        })
    }

    /// Takes over roots with their numbers and keys, for a generation that is to replace another.
    pub fn take_roots(&mut self, roots: &Roots) -> Result<()> {
        self.write(|transaction| {
            for root in &roots.rows {
                let folder = (!root.is_uploads).then_some(&root.folder);
                transaction.execute(
                    "INSERT OR REPLACE INTO roots VALUES (?1, ?2, ?3)",
                    params![root.number, root.key, folder],
                )?;
            }
            Ok(())
        })
    }

    fn write<T>(&mut self, change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        let path = self.path.clone();
        self.write_checked(|transaction| change(transaction).map_err(IndexError::catalog("write", &path)))
    }

    /// All of `change` or, where it fails, nothing of it; on the disk when it returns.
    fn write_checked<T>(&mut self, change: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let failed = IndexError::catalog("write", &self.path);
        let begun = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate);
        let transaction = begun.map_err(failed)?;
        let result = change(&transaction)?;
        transaction.commit().map_err(failed)?;
        committed(&self.path)?;
        Ok(result)
    }
}

/// Copies what is in the write-ahead log into the file, if it is not in use: a file alone can be read where nothing can
/// be written.
pub(super) fn fold_log(path: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Lets a double of the file layer see SQLite's commit, which is one step that lasts.
fn committed(path: &Path) -> Result<()> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    Ok(kinsight_files::committed(&[path, Path::new(&log)])?)
}

/// 128 random bits as hexadecimal digits.
pub(super) fn new_identity() -> Result<String> {
    // SQLite seeds its generator from the operating system's.
    let random = || {
        Connection::open_in_memory()?.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get::<_, String>(0))
    };
    random().map_err(IndexError::catalog("make an identity for", Path::new("the index")))
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    catalog::configure(connection)?;
    // A write-ahead log lets others read while one writes; FULL makes a commit wait for the disk.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")
}

/// Numbers are stored as REAL, texts as TEXT, so that they order as a filter compares them.
impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Number(number) => number.to_sql(),
            Self::Text(text) => text.to_sql(),
        }
    }
}

fn insert_point(
    transaction: &Transaction<'_>,
    row: i64,
    id: PointId,
    payload: &Payload,
    json: &str,
    checksum: i64,
    names: &mut BTreeMap<String, i64>,
) -> rusqlite::Result<()> {
    bury(transaction, id)?;
    let mut point_row = transaction.prepare_cached("INSERT INTO points VALUES (?1, ?2, ?3, ?4)")?;
    point_row.execute(params![row, id.to_bytes(), json, checksum])?;
    let mut value_row = transaction.prepare_cached("INSERT OR IGNORE INTO field_values VALUES (?1, ?2, ?3)")?;
    for (name, value) in payload {
        let name_id = match names.get(name) {
            Some(&name_id) => name_id,
            None => *names.entry(name.clone()).or_insert(name_id(transaction, name)?),
        };
        value_row.execute(params![name_id, value, row])?;
    }
    Ok(())
}

/// The number of the root at `folder`, which is made where there is none.
fn numbered(transaction: &Transaction<'_>, roots: &mut Roots, folder: &str, index: &Path) -> rusqlite::Result<Value> {
    let root = roots.at_or_new(folder, index);
    if roots.at(folder).is_none() {
        let stored = (!root.is_uploads).then_some(&root.folder);
        transaction.execute("INSERT INTO roots VALUES (?1, ?2, ?3)", params![root.number, root.key, stored])?;
        roots.rows.push(root.clone());
    }
    Ok(Value::from(root.number as f64))
}

/// Replaces the folders in the payloads of format 1 by the numbers of roots.
fn number_roots(transaction: &Transaction<'_>, uploads: &Path) -> rusqlite::Result<()> {
    let name = "(SELECT name_id FROM field_names WHERE name = 'root')";
    let mut statement =
        transaction.prepare(&format!("SELECT DISTINCT value FROM field_values WHERE name_id = {name}"))?;
    let folders = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    for (number, folder) in (1_i64..).zip(&folders) {
        // The ids of its images were made from its folder, which stays the key.
        let stored = (!is_uploads_of(transaction, folder, uploads)?).then_some(folder);
        transaction.execute("INSERT INTO roots VALUES (?1, ?2, ?3)", params![number, folder, stored])?;
    }
    transaction.execute_batch(&format!(
        "UPDATE points SET payload = json_set(payload, '$.root',
             (SELECT CAST(number AS REAL) FROM roots WHERE key = json_extract(payload, '$.root')))
         WHERE json_valid(payload) AND json_type(payload, '$.root') = 'text';
         UPDATE field_values SET value = (SELECT CAST(number AS REAL) FROM roots WHERE key = value) WHERE name_id = {name};"
    ))
}

/// Whether `folder`, a root of format 1, is the index's own folder of uploads, perhaps where the index was before it was moved.
fn is_uploads_of(transaction: &Transaction<'_>, folder: &str, uploads: &Path) -> rusqlite::Result<bool> {
    if Path::new(folder) == uploads || Path::new(folder).file_name() != uploads.file_name() {
        return Ok(Path::new(folder) == uploads);
    }
    let sql = "SELECT json_extract(payload, '$.path') FROM points
        WHERE json_valid(payload) AND json_extract(payload, '$.root') = ?1 LIMIT 1";
    let path: Option<String> = transaction.query_row(sql, [folder], |row| row.get(0)).optional()?;
    Ok(path.is_some_and(|path| uploads.join(path).is_file()))
}

/// Takes the point with this id out, if there is one, leaving a tombstone for its row.
fn bury(transaction: &Transaction<'_>, id: PointId) -> rusqlite::Result<bool> {
    let found: Option<(i64, String)> = transaction
        .prepare_cached("SELECT slot, payload FROM points WHERE id = ?1")?
        .query_row([id.to_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((row, json)) = found else { return Ok(false) };
    match serde_json::from_str::<Payload>(&json) {
        // Values are found by name and value; the payload says which they are.
        Ok(payload) => {
            let sql = "DELETE FROM field_values WHERE name_id = ?1 AND value = ?2 AND slot = ?3";
            let mut value_row = transaction.prepare_cached(sql)?;
            for (name, value) in &payload {
                value_row.execute(params![name_id(transaction, name)?, value, row])?;
            }
        }
        // A damaged payload no longer says it; then all values are looked at, which takes a while.
        Err(_) => {
            transaction.execute("DELETE FROM field_values WHERE slot = ?1", [row])?;
        }
    }
    transaction.prepare_cached("DELETE FROM points WHERE slot = ?1")?.execute([row])?;
    transaction.prepare_cached("INSERT INTO dead VALUES (?1)")?.execute([row])?;
    Ok(true)
}

fn name_id(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<i64> {
    transaction.prepare_cached("INSERT OR IGNORE INTO field_names(name) VALUES (?1)")?.execute([name])?;
    transaction.prepare_cached("SELECT name_id FROM field_names WHERE name = ?1")?.query_row([name], |row| row.get(0))
}
