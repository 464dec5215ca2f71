# The closing line of tests/run, alone on its line: `N passed, N failed, N skipped`.
#
#   awk -F '\t' -f totals.awk LOG SKIPPED
#
# LOG is the output of `cargo test`, SKIPPED what crates/test-support recorded: a line for each skip
# with the test program, the test and the reason. For the harness a skipped test has passed, so it is
# subtracted there. A test that skipped some of its cases and failed in another one has failed. Tests
# are told apart by program and name.

FILENAME == ARGV[1] {
    if (/^ *Running .*\(.*\)$/) {
        program = $0
        sub(/^.*\//, "", program)
        sub(/\)$/, "", program)
    } else if (/^test .* \.\.\. FAILED$/) {
        name = $0
        sub(/^test /, "", name)
        sub(/ \.\.\. FAILED$/, "", name)
        has_failed[program, name] = 1
    } else if (/^test result: /) {
        split($0, words, " ")
        passed += words[4]
        failed += words[6]
        ignored += words[8]
    }
    next
}

!has_failed[$1, $2] && !counted[$1, $2]++ { skipped++ }

END {
    if (ignored) printf "%d ignored\n", ignored
    printf "%d passed, %d failed, %d skipped\n", passed - skipped, failed, skipped
}
