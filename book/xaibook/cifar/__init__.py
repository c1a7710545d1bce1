"""CIFAR-10, where its files are at hand, and the residual network of its literature."""
