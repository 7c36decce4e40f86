"""What a photo shows: people, their points, faces, hands and mattes."""
