//! How a failure is told: what, why, and what to do.

use std::process::ExitCode;

use kinsight_data::DataError;
use kinsight_files::{FileError, LockError};
use kinsight_index::IndexError;
use kinsight_model::ModelError;
use kinsight_retrieval::RetrievalError;
use kinsight_server::ServerError;
use kinsight_train::TrainError;

use crate::interrupt::{self, Stopped};

/// Prints `error:`, its causes and a `hint:` to standard error; the exit code. A stopped command has no error.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(stopped) = error.downcast_ref::<Stopped>() {
        eprintln!("{stopped}");
        return ExitCode::from(interrupt::EXIT_CODE);
    }
    eprintln!("error: {error}");
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        // A transparent wrapper says the same as what it wraps.
        if text != last {
            eprintln!("  because {text}");
        }
        last = text;
    }
    if let Some(hint) = error.chain().find_map(hint_of) {
        eprintln!("hint: {hint}");
    }
    ExitCode::FAILURE
}

fn hint_of(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<TrainError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<ServerError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<IndexError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<ModelError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<RetrievalError>() {
        return error.hint().map(str::to_string);
    }
    if let Some(error) = error.downcast_ref::<FileError>() {
        return error.hint().map(str::to_string);
    }
    if let Some(error) = error.downcast_ref::<LockError>() {
        return error.hint().map(str::to_string);
    }
    error.downcast_ref::<DataError>().and_then(|error| error.hint().map(str::to_string))
}
