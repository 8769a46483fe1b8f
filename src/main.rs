//! The binary. It only calls the library, so that its code is compiled once.

fn main() -> std::process::ExitCode {
    mango_chat::cli::main()
}
