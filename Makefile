# `make check` is the one command that runs all checks of the project itself; .ci/run runs it too.
.PHONY: check fmt clippy doc test suites
check: fmt clippy doc test
fmt:
	cargo fmt --check
clippy:
	cargo clippy --all-targets -- -D warnings
doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items
test:
	cargo test
# Suites that others wrote, on real mounts (needs their programs: see .ci/run).
suites:
	cargo build --release
	tests/suites/run
