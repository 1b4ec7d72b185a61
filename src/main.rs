//! Arguments → one command → exit code.

fn main() -> std::process::ExitCode {
    coracle::cli::main()
}
