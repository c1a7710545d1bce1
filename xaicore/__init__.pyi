from xaicore import metrics as metrics
from xaicore import plot as plot
from xaicore.attribution import *
from xaicore.classifier import Classifier as Classifier
from xaicore.evaluation.api import evaluate as evaluate
from xaicore.evaluation.dataset import Truth as Truth
from xaicore.evaluation.findings import Findings as Findings
from xaicore.evaluation.findings import read_findings as read_findings
from xaicore.evaluation.folder import read_records as read_records
from xaicore.evaluation.tables import paired_difference as paired_difference
from xaicore.evaluation.tables import summarize as summarize
from xaicore.explanation import Explanation as Explanation
from xaicore.explanation import explain_picture as explain_picture
from xaicore.explanation import read_image as read_image
from xaicore.folding import folded as folded
from xaicore.interpretation.vebi import VEBI as VEBI
from xaicore.masking import normalize as normalize
from xaicore.masking import upsample as upsample
from xaicore.metrics.faithfulness import average_drop as average_drop
from xaicore.metrics.faithfulness import average_gain as average_gain
from xaicore.metrics.faithfulness import average_increase as average_increase
from xaicore.metrics.faithfulness import confidence as confidence
from xaicore.models.ca_stream import CAStream as CAStream
from xaicore.models.efficientnet_lite import default_classifier as default_classifier
from xaicore.models.timm import from_timm as from_timm

__version__: str
