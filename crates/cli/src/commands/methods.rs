//! `kinsight methods`

use kinsight_train::config::METHODS;

/// Lists the methods.
pub fn run() -> anyhow::Result<()> {
    for method in METHODS {
        println!("{:<10} {}", method.name, method.about);
    }
    println!("\nJoin parts with +, as in --method vptsp-g+bitfit.");
    Ok(())
}
