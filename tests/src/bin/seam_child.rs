//! The child of the seam's test: executes task descriptors that come on stdin.

fn main() -> std::io::Result<()> {
    flow_tests::seam::child::run()
}
