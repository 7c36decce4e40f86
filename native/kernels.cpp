// Compiled once per instruction set; KERNELS names the table this copy fills.
// No standard library templates here: their code would be shared between instruction sets.
#include "kernels.h"

#include <cstddef>

#include "vec.h"

#include "project.inl"

#include "blend.inl"

#include "ssim.inl"

#include "mesh.inl"

#include "surface.inl"

#include "studio.inl"

extern const Kernels KERNELS = {project,    project_backward,  blend,       blend_backward,
                         ssim_row,   ssim_row_backward, localize,    set_up,
                         draw_tile,  turn,              skin,              frame,       place,
                         finish,     carry,             sum_normals, make_units,
                         light_vertices, resolve_row};
