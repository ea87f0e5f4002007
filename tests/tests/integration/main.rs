//! The integration tests, in one program: each further one would link
//! DataFusion once more.

mod python_environment;
