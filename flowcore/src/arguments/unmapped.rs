//! `unmapped(value)`: one value for all rows of a map.

/// One value for all rows; made by [`unmapped`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Unmapped<A>(pub(crate) A);

/// Repeats one argument for every row of a map.
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task]
/// fn scale(x: f64, by: f64) -> f64 { x * by }
///
/// #[flow]
/// async fn scaled(xs: Vec<f64>) -> Result<Vec<f64>> {
///     scale.map(xs, unmapped(10.0)).await
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// assert_eq!(scaled(vec![1.0, 2.0]).await?, [10.0, 20.0]);
/// # Ok(())
/// # }
/// ```
pub fn unmapped<A>(argument: A) -> Unmapped<A> {
    Unmapped(argument)
}
