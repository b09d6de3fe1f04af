//! The `kinsight` command.
fn main() {}
