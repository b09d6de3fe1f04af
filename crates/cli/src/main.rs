//! The `kinsight` command: arguments, progress and exit codes; the work is done by the libraries.
//!
//! Data goes to standard output, messages to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage.
#![expect(clippy::print_stdout, reason = "a command's results go to standard output")]

mod arguments;
mod commands;
mod failure;
mod interrupt;
mod model_source;
mod progress;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Quickstart(arguments) => commands::quickstart::run(&arguments),
        Command::Train(arguments) => commands::train::run(&arguments),
        Command::Eval(arguments) => commands::eval::run(&arguments),
        Command::Audit(arguments) => commands::audit::run(&arguments),
        Command::Index(arguments) => commands::index::run(&arguments),
        Command::Search(arguments) => commands::search::run(&arguments),
        Command::Calibrate(arguments) => commands::calibrate::run(&arguments),
        Command::Serve(arguments) => commands::serve::run(&arguments),
        Command::Explain(arguments) => commands::explain::run(&arguments),
        Command::Pretrain(arguments) => commands::pretrain::run(&arguments),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Backbones(arguments) => commands::backbones::run(&arguments),
        Command::Methods => commands::methods::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            failure::report(&error);
            ExitCode::from(1)
        }
    }
}
