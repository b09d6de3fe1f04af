//! kinsight-model
