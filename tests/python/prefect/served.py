"""Serves a flow that programs in Rust start."""

from prefect import flow


@flow(name="counts-in-python")
def counts(n: int):
    return list(range(n))


if __name__ == "__main__":
    counts.serve("for-rust")
