//! kinsight-kernels
