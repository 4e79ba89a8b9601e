"""What plots call the learners, in words; a learner without a title is called by its key."""

from __future__ import annotations

from edge_nusa.research.figures.drawing import one_line

TITLES = {
    "frozen": "untouched model",
    "full": "full fine-tuning",
    "lora": "LoRA",
    "lora-matched": "LoRA, as few numbers",
    "milora": "MiLoRA",
    "top": "largest directions",
    "random": "random directions",
    "paper": "NuSA-CL",
    "text-only": "NuSA-CL, text",
    "text-full": "full, text",
    "text-lora": "LoRA, text",
    "text-lora-matched": "LoRA, few numbers, text",
    "text-top": "largest directions, text",
    "text-random": "random directions, text",
    "text-covariance": "unused by prompts, text",
    "image-only": "NuSA-CL, image",
    "ridge": "ridge, embedding (RAIL)",
    "ranpac": "RanPAC",
    "ridge-taps": "ridge, our features",
    "offline": "all pictures kept, logistic",
    "sequential": "dense head, in turn",
    "ncm": "nearest class mean",
    "knn": "3 nearest pictures",
    "tip": "Tip-Adapter",
    "gda": "GDA-CLIP",
    "lda": "all pictures kept, LDA",
    "head": "edge-nusa, head alone",
    "default": "edge-nusa",
}


def title(learner: str) -> str:
    """The learner in words; of one's own the class alone; else its key on one line."""
    return TITLES.get(learner) or one_line(learner.rpartition(":")[2] or learner)
