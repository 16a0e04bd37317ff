"""A render to look at: one page that needs nothing else, or its figures as JSON.

`facts` is what a render knows, `sketch` reduces a sound to what can be drawn, `scoring` measures,
`sheet` brings all of it together as plain values, `plots` and `page` draw them, and `writing` is
the way in.
"""
