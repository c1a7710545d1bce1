"""How each library is called: ``function(case)`` prepares, and returns what is measured.

What is measured returns the saliency of the images ``(B, H, W)``, or the areas under the curves of
deletion and of insertion, means over the images, ``(2,)``; nothing if it does not compare. Peers
get images that are normalised already; xaicore normalises them itself.
"""
