// Bodies: skins, shapes, and discs that ride on them.
#include "bind.h"

namespace {

struct Skinning {
  In2 rest, offsets;
  Ids1 shape_starts, shapes;
  In2 moves;
  Ids1 bone_starts, bones;
  In1 weights;
  In2 centers;
  Ids1 parents;
  In2 joints;
  size_t num_shapes;
  int first_eye, eye_size;

  // Once, when it is made: what it holds must not change.
  void check() const {
    const size_t count = rest.shape(0), num_joints = parents.shape(0);
    need(count < (1u << 28) && rest.shape(1) == 3 && same(offsets, rest) && same(centers, rest),
         "a skin wants rest, offsets and centers (v 3)");
    need(shape_starts.shape(0) == count + 1 && cuts(shape_starts, shapes.shape(0)) &&
             below(shapes, num_shapes) && moves.shape(0) == shapes.shape(0) && moves.shape(1) == 3,
         "a skin wants a move (3) for every shape of every vertex");
    need(bone_starts.shape(0) == count + 1 && cuts(bone_starts, bones.shape(0)) &&
             below(bones, num_joints) && weights.shape(0) == bones.shape(0),
         "a skin wants a weight for every bone of every vertex");
    need(joints.shape(0) == num_joints && joints.shape(1) == 3, "a skin wants joints (j 3)");
    for (size_t i = 0; i < num_joints; ++i)
      need(parents.data()[i] < int(i), "parents must precede their children");
    need(first_eye >= 0 && eye_size >= 0 && size_t(first_eye) + 2 * size_t(eye_size) <= count,
         "a skin wants its eyes among its vertices");
  }
};

void skinned(const Skinning& s, const In1& expression, const In3& eyes, const In3& pose,
             const In1& transl, Out3 bone_matrices, Out2 vertices) {
  const size_t joints = s.parents.shape(0);
  need(expression.shape(0) == s.num_shapes, "expressions want a weight for every shape");
  need(eyes.shape(0) == 2 && eyes.shape(1) == 3 && eyes.shape(2) == 4, "eyes want (2 3 4)");
  need(pose.shape(0) == joints && pose.shape(1) == 3 && pose.shape(2) == 3 &&
           transl.shape(0) == 3 && bone_matrices.shape(0) == joints &&
           bone_matrices.shape(1) == 4 && bone_matrices.shape(2) == 4 && same(vertices, s.rest),
       "a skin is posed by pose (j 3 3), transl (3), into bones (j 4 4), vertices (v 3)");
  const Skin own = {s.rest.data(),  s.offsets.data(),     s.shape_starts.data(),
                    s.shapes.data(), s.moves.data(),      s.bone_starts.data(),
                    s.bones.data(),  s.weights.data(),    s.centers.data(),
                    int(s.rest.shape(0)), s.first_eye,    s.eye_size};
  nb::gil_scoped_release release;
  bones(s.parents.data(), s.joints.data(), pose.data(), transl.data(), int(joints),
        bone_matrices.data());
  skin(own, {expression.data(), eyes.data(), bone_matrices.data(), nullptr}, int(joints),
       vertices.data());
}

struct Blending {
  In3 points;
  In2 weights;
  Ids2 ids;
  In4 bones;

  Blend view() const {
    const size_t b = points.shape(0), n = points.shape(1), j = bones.shape(1);
    need(points.shape(2) == 3 && same(weights, ids) && weights.shape(0) == n &&
             bones.shape(0) == b && bones.shape(2) == 4 && bones.shape(3) == 4 && n < (1u << 28),
         "skinning wants points (b n 3), weights and bones' ids (n k), bones (b j 4 4)");
    need(below(ids, j), "a weight names a bone that is not there");
    return {points.data(), weights.data(), ids.data(), bones.data(),
            int(b), int(n), int(weights.shape(1)), int(j)};
  }
};

void blended(const Blending& s, Out3 out) {
  const Blend own = s.view();
  need(same(out, s.points), "skinned points want the shape of the points");
  nb::gil_scoped_release release;
  blend_points(own, out.data());
}

void blended_backward(const Blending& s, const In3& gradient, Out3 d_points, Out2 d_weights,
                      Out4 d_bones) {
  const Blend own = s.view();
  need(same(gradient, s.points) && same(d_points, s.points) && same(d_weights, s.weights) &&
           same(d_bones, s.bones),
       "gradients of skinning want the shapes of what they belong to");
  nb::gil_scoped_release release;
  blend_points_backward(own, gradient.data(), {d_points.data(), d_weights.data(), d_bones.data()});
}

struct Shaping {
  Ids1 starts, ids;
  In2 moves, weights;

  Shapes view(size_t count) const {
    need(starts.shape(0) == count + 1 && cuts(starts, ids.shape(0)) && count < (1u << 28) &&
             below(ids, weights.shape(1)) && moves.shape(0) == ids.shape(0) && moves.shape(1) == 3,
         "shapes want starts (n + 1) into ids (m) below s, moves (m 3), weights (b s)");
    return {starts.data(),  ids.data(), moves.data(), weights.data(), int(weights.shape(0)),
            int(count), int(weights.shape(1))};
  }
};

void shaped(const Shaping& s, Out3 out) {
  const Shapes own = s.view(out.shape(1));
  need(out.shape(0) == s.weights.shape(0) && out.shape(2) == 3, "moved points want (b n 3)");
  nb::gil_scoped_release release;
  add_shapes(own, out.data());
}

void shaped_backward(const Shaping& s, const In3& gradient, Out2 d_moves, Out2 d_weights) {
  const Shapes own = s.view(gradient.shape(1));
  need(gradient.shape(0) == s.weights.shape(0) && gradient.shape(2) == 3 &&
           same(d_moves, s.moves) && same(d_weights, s.weights),
       "gradients of shapes want the shapes of what they belong to");
  nb::gil_scoped_release release;
  add_shapes_backward(own, gradient.data(), d_moves.data(), d_weights.data());
}

struct Riders {
  Ids2 corners;
  Ids1 triangles;
  In2 values;
  size_t count, num_vertices;

  // Once, when they are made.
  void check() const {
    const size_t pitch = triangles.shape(0);
    need(corners.shape(1) == 3 && below(corners, num_vertices),
         "triangles want corners (f 3) among the vertices");
    need(pitch % 16 == 0 && values.shape(0) == DISC && values.shape(1) == pitch &&
             count <= pitch && below(triangles, corners.shape(0)) && pitch < (1u << 28),
         "discs want triangles (p), values (13 p), p a multiple of 16 and not below their number");
  }
};

void placed(const Riders& d, const In2& vertices, Out2 frames, Out2 means, Out2 quats,
            Out2 scales) {
  const size_t pitch = d.triangles.shape(0);
  need(vertices.shape(0) == d.num_vertices && vertices.shape(1) == 3, "vertices want (v 3)");
  need(frames.shape(0) == d.corners.shape(0) && frames.shape(1) == FRAME, "frames want (f 32)");
  need(means.shape(0) == d.count && means.shape(1) == 3 && same(scales, means) &&
           quats.shape(0) == d.count && quats.shape(1) == 4,
       "discs are placed as means (n 3), quats (n 4), scales (n 3)");
  const Discs own = {d.triangles.data(), d.values.data(), int(d.count), int(pitch)};
  nb::gil_scoped_release release;
  place(own, vertices.data(), d.corners.data(), int(d.corners.shape(0)), frames.data(),
        {means.data(), quats.data(), scales.data()});
}

}  // namespace

void bind_body(nb::module_& m) {
  nb::class_<Skinning>(m, "Skin").def(
      "__init__", [](Skinning* self, In2 rest, In2 offsets, Ids1 shape_starts, Ids1 shapes,
                     In2 moves, Ids1 bone_starts, Ids1 bones, In1 weights, In2 centers,
                     Ids1 parents, In2 joints, size_t num_shapes, int first_eye, int eye_size) {
        const Skinning skin = {rest,    offsets, shape_starts, shapes, moves,      bone_starts,
                               bones,   weights, centers,      parents, joints,    num_shapes,
                               first_eye, eye_size};
        skin.check();
        new (self) Skinning(skin);
      });
  m.def("skinned", &skinned);
  nb::class_<Blending>(m, "Blending")
      .def("__init__", [](Blending* self, In3 points, In2 weights, Ids2 ids, In4 bones) {
        new (self) Blending{points, weights, ids, bones};
      });
  m.def("blended", &blended);
  m.def("blended_backward", &blended_backward);
  nb::class_<Shaping>(m, "Shaping")
      .def("__init__", [](Shaping* self, Ids1 starts, Ids1 ids, In2 moves, In2 weights) {
        new (self) Shaping{starts, ids, moves, weights};
      });
  m.def("shaped", &shaped);
  m.def("shaped_backward", &shaped_backward);
  nb::class_<Riders>(m, "Discs")
      .def("__init__", [](Riders* self, Ids2 corners, Ids1 triangles, In2 values, size_t count,
                          size_t num_vertices) {
        const Riders riders = {corners, triangles, values, count, num_vertices};
        riders.check();
        new (self) Riders(riders);
      });
  m.def("placed", &placed);
}
