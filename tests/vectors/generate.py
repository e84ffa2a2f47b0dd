"""Makes the vectors that are not there yet: ``python -m tests.vectors.generate``. To make one anew, remove its file
first, and say in the commit why the format has changed."""

from tests.vectors import making_heads, making_keyrings, making_kits, making_objects, making_texts, making_vaults

for module in (making_objects, making_texts, making_kits, making_heads, making_keyrings, making_vaults):
    module.make()
