//! kinsight-retrieval
