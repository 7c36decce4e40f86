"""How good: pictures against pictures, colours as eyes see them, faces, and how sure a mean is.

Pictures are channels last, in [0, 1]. Everything that is slow to import, and everything that needs
what not everybody has, is imported by the function that needs it.
"""

from incarnate.metrics.color import ciede2000 as ciede2000
from incarnate.metrics.color import color_gap as color_gap
from incarnate.metrics.color import lab as lab
from incarnate.metrics.pictures import flicker as flicker
from incarnate.metrics.pictures import l1 as l1
from incarnate.metrics.pictures import mse as mse
from incarnate.metrics.pictures import normal_error as normal_error
from incarnate.metrics.pictures import psnr as psnr
from incarnate.metrics.pictures import silhouette_iou as silhouette_iou
from incarnate.metrics.pictures import ssim as ssim
from incarnate.metrics.pictures import texture_energy as texture_energy
from incarnate.metrics.statistics import Interval as Interval
from incarnate.metrics.statistics import Paired as Paired
from incarnate.metrics.statistics import bootstrap as bootstrap
from incarnate.metrics.statistics import paired as paired
