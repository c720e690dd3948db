"""The critical mixture ratio (Gu et al., EMNLP 2024, arXiv 2407.17467): how much domain text training bears."""
