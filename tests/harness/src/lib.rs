//! The attribute of asynchronous tests.

use proc_macro::TokenStream;

/// Runs an `async fn` as a test on a runtime with two threads, like the server: a test and the server that it starts
/// then run at the same time, and a call that blocks does not stop both.
#[proc_macro_attribute]
#[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "the parsed text is a constant")]
pub fn test(_: TokenStream, function: TokenStream) -> TokenStream {
    let mut test: TokenStream =
        r#"#[::tokio::test(flavor = "multi_thread", worker_threads = 2)]"#.parse().expect("an attribute");
    test.extend(function);
    test
}
