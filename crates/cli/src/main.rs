//! The `kinsight` command: arguments, progress and exit codes; the work is done by the libraries.
//!
//! Data goes to standard output, messages to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped.

#[macro_use]
mod output;
mod arguments;
mod commands;
mod context;
mod failure;
mod interrupt;
mod progress;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use arguments::{Cli, Command};

fn main() -> ExitCode {
    let result = run(Cli::parse().command);
    match result.and_then(|()| output::finish().context("cannot write the results to standard output")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Quickstart(arguments) => commands::quickstart::run(arguments),
        Command::Train(arguments) => commands::train::run(arguments),
        Command::Eval(arguments) => commands::eval::run(&arguments),
        Command::Embed(arguments) => commands::embed::run(arguments),
        Command::Data(arguments) => commands::data::run(&arguments),
        Command::Audit(arguments) => commands::audit::run(arguments),
        Command::Compare(arguments) => commands::compare::run(&arguments),
        Command::Plan(arguments) => commands::plan::run(arguments),
        Command::Index(arguments) => commands::index::run(arguments),
        Command::Search(arguments) => commands::search::run(arguments),
        Command::Calibrate(arguments) => commands::calibrate::run(arguments),
        Command::Serve(arguments) => commands::serve::run(arguments),
        Command::Explain(arguments) => commands::explain::run(arguments),
        Command::Pretrain(arguments) => commands::pretrain::run(arguments),
        Command::Export(arguments) => commands::export::run(arguments),
        Command::Backbones(arguments) => commands::backbones::run(&arguments),
        Command::Methods => commands::methods::run(),
    }
}
