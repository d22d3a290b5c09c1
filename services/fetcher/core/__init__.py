"""The decisions of the fetcher, as pure functions: what to ask next, what of a page is new, where the cursor goes."""
