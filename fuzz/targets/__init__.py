"""What is fuzzed. A target gives its first inputs (`seeds`) and, for a folder of its own, what is done with one input.

That function raises what orchgate must never raise; OrchgateError is an answer. `Violation` is a wrong answer.
"""
