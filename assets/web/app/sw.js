// {version} {files}
