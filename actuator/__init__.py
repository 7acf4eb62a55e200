"""The operators' API: a view checks who asks, calls one function of the engine, and renders its answer.

Every error is a problem document (`problems`); `permissions` says who may ask;
`urls` lists what there is.
"""
