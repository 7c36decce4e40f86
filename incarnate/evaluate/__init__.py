"""How good an avatar is: suites of figures with intervals, baselines to beat, and a report.

A suite (`photos`, `views4`, `reenact` and `talk`, one module each) measures one subject in a
process of its own; `runner` runs them all, keeps what is finished by its content, and goes on where
it was stopped; `report` writes the page.
"""
