//! Prefect's tasks and flows in Rust: definitions, engine, embedded runners.
