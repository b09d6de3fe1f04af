//! Following an index that another program changes: a migration puts another generation, perhaps of another model, in the
//! place of the one in use, and the server goes over to it between two requests.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::json;

use crate::api::App;
use crate::collection::{Collection, CollectionSpec, Opener};
use crate::error::ServerError;

/// Time between two looks at the manifests.
const INTERVAL: Duration = Duration::from_secs(2);

/// Starts the thread that looks; it ends with the server.
pub(crate) fn start(app: &Arc<App>, mut opener: Opener) -> std::io::Result<()> {
    let app = Arc::downgrade(app);
    let look = move || {
        while wait(&app) {
            let Some(app) = app.upgrade() else { return };
            for collection in app.collections.all() {
                match newer(&app, &collection, &mut opener) {
                    Ok(false) => {}
                    Ok(true) => app.log.event("index replaced", json!({ "collection": collection.name() })),
                    // The one in use still answers.
                    Err(error) => app.log.event(
                        "index not replaced",
                        json!({ "collection": collection.name(), "reason": error.to_string() }),
                    ),
                }
            }
            opener.tidy();
        }
    };
    std::thread::Builder::new().name("refresh".into()).spawn(look).map(|_| ())
}

/// Sleeps in short steps, so that a stopped server's thread does not linger.
fn wait(app: &Weak<App>) -> bool {
    let step = Duration::from_millis(200);
    (0..INTERVAL.as_millis() / step.as_millis()).all(|_| {
        std::thread::sleep(step);
        app.strong_count() > 0
    })
}

/// Puts the newer index of a collection in its place, if there is one.
pub(crate) fn newer(app: &App, current: &Arc<Collection>, opener: &mut Opener) -> Result<bool, ServerError> {
    let Some(index) = current.index().newer()? else { return Ok(false) };
    let same_model = index.manifest().fingerprint == current.index().manifest().fingerprint;
    // A new model is the one that the new manifest names, not the one that the server was started with.
    let spec = match same_model {
        true => current.spec().clone(),
        false => CollectionSpec { run: None, backbone: None, ..current.spec().clone() },
    };
    app.collections.replace(current, opener.with_index(&spec, index)?);
    Ok(true)
}
