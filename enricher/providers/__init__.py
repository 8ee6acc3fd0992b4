"""One file per provider; `registry` finds them."""
