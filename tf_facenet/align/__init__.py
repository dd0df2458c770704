"""From photographs to faces of one size: find faces, cut or turn them, for one picture or a whole folder."""
