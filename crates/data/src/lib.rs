//! kinsight-data
