"""The charts of a report: drawn by matplotlib as SVG that takes its colours and letters from the page."""
