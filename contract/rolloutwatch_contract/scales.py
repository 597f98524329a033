"""placeholder until the branch `windows` is merged"""
import math
from typing import NamedTuple

LEAST_SPREAD = 0.125
class Scale(NamedTuple):
    ideal: float
    matters: float
    is_ratio: bool = False
    def of(self, x):
        if self.is_ratio: return math.asinh(math.log(x)/self.matters) if x>0 else -math.inf
        return math.asinh((x-self.ideal)/self.matters)
_S={"mismatch_k3_kl":(0,3e-4),"mismatch_kl":(0,1e-3),"logprob_abs_diff_mean":(0,5e-3),"logprob_abs_diff_median":(0,2e-3),"prob_pearson_corr":(1,2e-3),"logprob_slope":(1,.01),"surprise_gap":(0,.1),"ratio_mean":(1,3e-3),"ratio_max":(1,.5,True),"ratio_min":(1,.5,True),"zero_logprob_fraction":(0,.005),"fraction_outside_2x":(0,.003),"weight_age_steps":(0,1),"mismatch_k3_seq_share_max":(0,.2),"logprob_abs_diff_first_quarter":(0,5e-3),"logprob_abs_diff_last_quarter":(0,5e-3),"chi2_seq":(0,.01)}
def scale_of(m):
    v=_S.get(m.split("@")[0]); return Scale(*v) if v else None
