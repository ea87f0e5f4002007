//! How many parameters tasks and flows may have.

/// Calls a macro with the names of types, once for each number of parameters.
macro_rules! each_arity {
    ($each:ident) => {
        $each!();
        $each!(A);
        $each!(A, B);
        $each!(A, B, C);
        $each!(A, B, C, D);
        $each!(A, B, C, D, E);
        $each!(A, B, C, D, E, F);
        $each!(A, B, C, D, E, F, G);
        $each!(A, B, C, D, E, F, G, H);
        $each!(A, B, C, D, E, F, G, H, I);
        $each!(A, B, C, D, E, F, G, H, I, J);
        $each!(A, B, C, D, E, F, G, H, I, J, K);
        $each!(A, B, C, D, E, F, G, H, I, J, K, L);
    };
}

pub(crate) use each_arity;
