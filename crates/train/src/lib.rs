//! kinsight-train
