// The studio: people in clothes, under lamps.
#include <algorithm>

#include "bind.h"

namespace {

struct Costume {
  Ids1 bone_starts, bones;
  In1 weights;
  In2 own_normals;
  Bytes1 brings_normals;
  Ids2 faces;
  In3 uvs;
  Bytes2 texels;
  Ids2 texture;
  Bytes1 labels;
  In1 gloss;
  size_t num_joints;

  // Once, when it is made: what it holds must not change.
  void check() const {
    const size_t v = own_normals.shape(0), f = faces.shape(0);
    need(v < (1u << 28) && f < (1u << 28) && own_normals.shape(1) == 3 &&
             brings_normals.shape(0) == v && bone_starts.shape(0) == v + 1 &&
             cuts(bone_starts, bones.shape(0)) && below(bones, num_joints) &&
             weights.shape(0) == bones.shape(0),
         "a dressed person wants a weight for every bone of every vertex, normals (v 3)");
    need(faces.shape(1) == 3 && below(faces, v) && uvs.shape(0) == f && uvs.shape(1) == 3 &&
             uvs.shape(2) == 2 && labels.shape(0) == f && gloss.shape(0) == f,
         "a dressed person wants faces (f 3) among its vertices, uvs (f 3 2), labels, gloss (f)");
    need(texels.shape(1) == 3 && texture.shape(0) == f && texture.shape(1) == 3,
         "a dressed person wants texels (t 3), texture (f 3)");
    for (size_t i = 0; i < f; ++i) {
      const int32_t* t = texture.data() + 3 * i;
      need(t[0] >= 0 && t[1] > 0 && t[2] > 0 &&
               size_t(t[0]) + size_t(t[1]) * size_t(t[2]) <= texels.shape(0),
           "a texture reaches beyond the texels");
    }
  }

  Dressed view() const {
    return {bone_starts.data(),    bones.data(), weights.data(),      own_normals.data(),
            brings_normals.data(), faces.data(), uvs.data(),          texels.data(),
            texture.data(),        labels.data(), gloss.data(),
            int(own_normals.shape(0)), int(faces.shape(0))};
  }
};

void costume_posed(const Costume& c, const In2& rest, const In3& bones, Out2 vertices,
                   Out2 normals) {
  need(same(rest, c.own_normals) && same(vertices, rest) && same(normals, rest) &&
           bones.shape(0) == c.num_joints && bones.shape(1) == 3 && bones.shape(2) == 4,
       "a dressed person is posed from rest (v 3) by bones (j 3 4)");
  nb::gil_scoped_release release;
  pose_dressed(c.view(), rest.data(), bones.data(), vertices.data(), normals.data());
}

constexpr size_t LAMP = 37;  // Eye, toward, key, soft, irradiance.

struct Lighting {
  In1 lamp;
  In2 project, shadow;

  Lamp view() const {
    need(lamp.shape(0) == LAMP && project.shape(0) == 3 && project.shape(1) == 4 &&
             shadow.shape(0) == shadow.shape(1) && shadow.shape(0) > 0,
         "light wants lamp (37), a projection (3 4) and its depth (s s)");
    Lamp out;
    const float* p = lamp.data();
    std::copy(p, p + 3, out.eye), std::copy(p + 3, p + 6, out.toward);
    std::copy(p + 6, p + 9, out.key), out.soft = p[9];
    std::copy(p + 10, p + 37, out.irradiance);
    std::copy(project.data(), project.data() + 12, out.project);
    out.shadow = shadow.data(), out.side = int(shadow.shape(0));
    return out;
  }
};

struct Samples {
  OutIndices ids;
  Out3 barycentrics;
  Out2 depth;
};

struct Film {
  Bytes rgb;
  Out2 alpha;
  Out3 normal;
  Out2 depth;
  OutBytes2 parts;
};

void costume_exposed(const Costume& c, const In2& vertices, const In2& normals,
                     const Lighting& light, const In2& pose, const In2& intrinsics,
                     const Samples& samples, const In3& behind, const In1& linear,
                     const Bytes1& encoded, const Film& film) {
  const size_t h = film.alpha.shape(0), w = film.alpha.shape(1);
  need(same(vertices, c.own_normals) && same(normals, vertices), "vertices and normals want (v 3)");
  need(same(film.depth, film.alpha) && film.parts.shape(0) == h && film.parts.shape(1) == w &&
           same(film.normal, film.rgb) && same(behind, film.rgb) && film.rgb.shape(0) == h &&
           film.rgb.shape(1) == w && film.rgb.shape(2) == 3 && h > 0 && w > 0,
       "a film wants rgb and normal (h w 3), alpha, depth, parts (h w)");
  const size_t k = samples.depth.shape(0) / h;
  need(k > 0 && samples.depth.shape(0) == k * h && samples.depth.shape(1) == k * w &&
           same(samples.ids, samples.depth) && samples.barycentrics.shape(0) == k * h &&
           samples.barycentrics.shape(1) == k * w && samples.barycentrics.shape(2) == 3,
       "samples want ids, depth (k h, k w) and barycentrics");
  need(linear.shape(0) == 256 && encoded.shape(0) == 4096, "tables want 256 and 4096 values");
  Stage stage;
  stage.vertices = vertices.data(), stage.normals = normals.data(), stage.lit = nullptr;
  stage.lamp = light.view();
  stage.camera = camera_of(pose, intrinsics, k * w, k * h);
  stage.samples = int(k);
  stage.ids = samples.ids.data(), stage.barycentrics = samples.barycentrics.data();
  stage.depth = samples.depth.data(), stage.behind = behind.data();
  stage.linear = linear.data(), stage.encoded = encoded.data();
  const int64_t faces = int64_t(c.faces.shape(0));
  for (size_t i = 0; i < samples.ids.size(); ++i)
    need(stage.ids[i] < faces, "a sample names a face that is not there");
  nb::gil_scoped_release release;
  expose(c.view(), stage,
         {film.rgb.data(), film.parts.data(), film.alpha.data(), film.normal.data(),
          film.depth.data()});
}

}  // namespace

void bind_studio(nb::module_& m) {
  nb::class_<Costume>(m, "Dressed")
      .def("__init__", [](Costume* self, Ids1 bone_starts, Ids1 bones, In1 weights,
                          In2 own_normals, Bytes1 brings_normals, Ids2 faces, In3 uvs,
                          Bytes2 texels, Ids2 texture, Bytes1 labels, In1 gloss,
                          size_t num_joints) {
        const Costume costume = {bone_starts, bones, weights, own_normals, brings_normals, faces,
                                 uvs, texels, texture, labels, gloss, num_joints};
        costume.check();
        new (self) Costume(costume);
      });
  nb::class_<Lighting>(m, "Lighting").def("__init__", [](Lighting* self, In1 lamp, In2 project,
                                                         In2 shadow) {
    new (self) Lighting{lamp, project, shadow};
  });
  nb::class_<Samples>(m, "Samples").def("__init__", [](Samples* self, OutIndices ids,
                                                       Out3 barycentrics, Out2 depth) {
    new (self) Samples{ids, barycentrics, depth};
  });
  nb::class_<Film>(m, "Film").def("__init__", [](Film* self, Bytes rgb, Out2 alpha, Out3 normal,
                                                 Out2 depth, OutBytes2 parts) {
    new (self) Film{rgb, alpha, normal, depth, parts};
  });
  m.def("posed", &costume_posed);
  m.def("exposed", &costume_exposed);
}
