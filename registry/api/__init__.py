"""The consumers' API: what they read and write under /api/v1, and the old service's contract under /screener.

A view reads what was asked (`query`, `body`), calls one function of the domain (`registry.reading`, `registry.bulk`,
`registry.importing`), and renders its answer (`rows`, `renderers`). `view` is what all share: who asks is counted, an
answer has an ETag and is compressed where that is asked for, and says which store it is from; a read that belongs to
the sample is compared once the answer is sent. `problems` are refusals that point to what is wrong.

One file for each resource; `urls` lists them; docs/api.md shows each call with its answer.
"""
