"""The gallery: one page that shows every figure with its claims."""
