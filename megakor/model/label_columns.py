"""Where labels are in the logits of one tensor-parallel rank.

Shapes: S sequence, B batch, N positions.
"""

from __future__ import annotations

import torch


def label_columns(labels_SB: torch.Tensor, first_id: int, real_ids: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The column of each label on this rank [N], and whether the label is another rank's [N]; such a one has column 0.

    Args:
        labels_SB: ids of the whole vocabulary.
        first_id: the id of this rank's first column.
        real_ids: columns of this rank that are not padding.
    """
    column_N = labels_SB.flatten() - first_id
    foreign_N = (column_N < 0) | (column_N >= real_ids)
    return column_N.masked_fill(foreign_N, 0), foreign_N
