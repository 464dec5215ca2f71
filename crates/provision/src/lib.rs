//! Facts of a host, the plan to make it a Docker machine, and its application
