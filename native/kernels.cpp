// Compiled once per instruction set; KERNELS names the table this copy fills.
// No standard library templates here: their code would be shared between instruction sets.
#include "kernels.h"

#include <cstddef>

#include "shuffle.h"
#include "vec.h"

#include "project.inl"

#include "pairs.inl"

#include "blend.inl"

#include "ssim.inl"

#include "mesh.inl"

#include "surface.inl"

#include "studio.inl"

#include "skin.inl"

extern const Kernels KERNELS = {
    TILE_HEIGHT,
    project,     project_backward,  blend,          blend_backward,      ssim_rows,
    ssim_rows_backward, localize,   set_up,         draw_tile,           turn,
    skin,        blend_points,      blend_points_backward, add_shapes,   add_shapes_backward,
    frame,       place,             finish,         carry,               sum_normals,
    make_units,  light_vertices,    resolve_row};
