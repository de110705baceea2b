"""The embedded Hub: what huggingface_hub speaks to, over git repositories in a directory."""
